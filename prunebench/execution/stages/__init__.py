"""What each kind of step does: one file a stage of the experiment tree."""
