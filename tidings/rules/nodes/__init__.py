"""Rules for several nodes on one database: what each may do, given what it knows about itself and the others."""
