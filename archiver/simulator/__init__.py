"""Telnyx and Twilio on loopback, with real media, a life in time and a fault script; it knows nothing of the product it tests."""
