"""The processes that ship, one module each; a module whose name starts with `_` belongs to one of them.

They are written against `psthreads.authoring.context`, `psthreads.authoring.registry` and the documents only, as
anybody's own process is. Importing the package registers them.
"""

from psthreads.processes import export as export
from psthreads.processes import load as load
from psthreads.processes import move as move
from psthreads.processes import publish as publish
from psthreads.processes import unzip as unzip
from psthreads.processes import validate as validate
