"""The data checks of this challenge, and the tables that they name as parameters:

fragments, layers, pictures     what `reading` finds in a folder
wanted                          the ids of the sample submission
"""

from lsdc.tables.checks import Checks

CHECKS = Checks()
check, find = CHECKS.check, CHECKS.find
