"""The hands: cachepilotctl edits specs and shows status; it never talks to Docker or Redis."""
