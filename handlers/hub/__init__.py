"""Who is connected, what they are subscribed to, and how to reach them."""
