"""The pages about members, groups, accounts and tokens."""
