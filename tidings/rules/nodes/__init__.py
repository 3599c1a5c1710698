"""Rules for several nodes on one database: what each may do by what it knows of itself and the others."""
