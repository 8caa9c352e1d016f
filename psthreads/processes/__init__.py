"""The processes that ship with psthreads, one module each. Importing the package registers them.

They use only what a plug-in may use: psthreads.authoring, psthreads.documents and psthreads.domain.
"""

from psthreads.processes import export as export
from psthreads.processes import load as load
from psthreads.processes import move as move
from psthreads.processes import publish as publish
from psthreads.processes import unzip as unzip
from psthreads.processes import validate as validate
