"""DynamoDB for the emulator: every operation that moto knows, and the hot ones on rows of our own."""
