"""The customer portal, `/portal/...`: pages where a tenant's people look after their own endpoints."""
