"""Who asks: credentials, sessions, sign-in, OAuth and OpenID Connect."""
