"""The inner leg: devices' TLS ends here, and their messages are judged. The only room that imports mitmproxy."""
