"""What ``local.gateway`` is made of: the rules of one thing each, without input or output."""
