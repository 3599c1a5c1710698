"""Who should hold the locks of a database that several nodes share (docs/decisions/0047 and 0073).

A beat, once a second on its own connection, says that a node lives, and asks what its writer's session holds:

* A node sends nothing unless a beat asked within the last PROOF_SECONDS found the lock for it in its writer's session:
  the pen, or among joined nodes the sender's lock. A node that was frozen, or cut off from the database, finds out
  before it sends.
* A node that stands by, or has joined others, ends the session of one that was not heard from for FROZEN_SECONDS, which
  is longer: a frozen client keeps its session and all its locks, and no timeout ends some phases (a COPY). It does so
  only if its own beats were committed during all that time. If commits hang, because a synchronous replica is gone, no
  node hears from another, and none may end another; nor right after that, when one beat is committed a moment before
  the other.
* A joined node that takes in looks for the sender's lock. If it is free, those nodes get their turn to take it, one
  after the other.
"""
