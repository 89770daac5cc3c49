"""The text that mini learns from: facts about puna, small talk, sums, stories, and what it does not know."""
