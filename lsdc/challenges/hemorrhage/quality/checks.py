"""The data checks of this challenge, and the tables that they name as parameters:

images, series, studies, quarantine, other_files    the index's tables of these names
listed                                              split and image_id, as the competition's
                                                    tables list them
"""

from lsdc.tables.checks import Checks

CHECKS = Checks()
check, find = CHECKS.check, CHECKS.find
