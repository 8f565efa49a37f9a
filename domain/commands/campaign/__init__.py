"""Commands about a campaign, and what its limits mean for the commands about its codes."""
