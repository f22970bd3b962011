"""From a SAM or CloudFormation template to the plan that the emulator runs (``local.stack``)."""
