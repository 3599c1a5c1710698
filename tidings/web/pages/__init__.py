"""What the console and the portal share: templates, the style sheet and scripts, the policy, live fragments."""
