"""What a process inside the door's fence can do, tried for real: ``attempts.py`` runs in the fence, ``unit.py`` builds it."""
