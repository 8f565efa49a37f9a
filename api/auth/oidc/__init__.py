"""Single sign-on of staff: OpenID Connect Core 1.0 with the authorization code flow and PKCE."""
