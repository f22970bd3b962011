"""A laptop-sized API Gateway for WebSocket APIs, with what stands around it: functions, table, schedules."""
