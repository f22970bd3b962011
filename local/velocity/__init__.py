"""The template language of mapping templates: as much of Velocity as API Gateway's users write."""
