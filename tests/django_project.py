"""The one Django project of a test process: Django takes its settings once, and several tests need some of them."""

from __future__ import annotations


def configured() -> None:
    """Configure Django, unless it is."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            INSTALLED_APPS=["tidings.outbox.django"],
            DATABASES={},
            USE_TZ=True,
            ROOT_URLCONF="tests.client.test_adapters",
            ALLOWED_HOSTS=["testserver"],
            SECRET_KEY="x",
            MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
        )
        django.setup()
