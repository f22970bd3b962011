"""Stateless functions for the gateway's events, and the hub they share with the scheduler."""
