"""Who calls a service of AWS here, and whether they may."""
