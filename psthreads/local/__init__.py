"""`make run`: everything on one machine, and the main job done once for a newcomer to see."""
