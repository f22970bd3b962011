"""Lambda's side: functions in processes of their own, and the APIs that invoke them."""
