"""What a WSGI server imports: ``app``. The worker runs beside it (``tillwire worker``)."""

from app.config import read_config
from app.factory import create_app, create_parts

app = create_app(create_parts(read_config()))
