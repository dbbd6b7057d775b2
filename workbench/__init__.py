"""The workbench: ask a model about pictures and watch its experts and its gaze."""
