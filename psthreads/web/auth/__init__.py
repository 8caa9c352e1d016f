"""Authentication: credentials, sessions, sign-in, OAuth, OpenID Connect, and the guard of every blueprint."""
