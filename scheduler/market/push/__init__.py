"""Quotes that providers push through a WebSocket held open, beside those that they are asked for."""
