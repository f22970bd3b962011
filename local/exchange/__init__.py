"""A simulated exchange over HTTP, in the shapes of Binance, Kraken and gold-api.com."""
