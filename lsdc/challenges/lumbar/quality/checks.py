"""The data checks of this challenge, and the tables that they name as parameters:

competition                             the opened tables of the competition
labels, annotations                     its tables of these names
listed                                  its series of the training split
pairs                                   left and right points, as `side_pairs` pairs them
lost                                    points found by `points_without_an_image`
instances, series, twins, quarantine    the index's tables of these names
train_instances                         the index's instances of the training split
"""

from lsdc.tables.checks import Checks

CHECKS = Checks()
check, find = CHECKS.check, CHECKS.find
