"""The proportions of an ordinary adult's spine, from T10 to the sacrum, in mm and degrees.

Tuples over discs refer to the disc below each body: T10/T11, T11/T12, T12/L1, L1/L2 .. L5/S1,
then the sacrum's rudimentary ones.
"""

FIRST_LUMBAR_DISC = 3

BODY_HEIGHTS_MM = (22.0, 23.0, 25.0, 26.0, 27.0, 28.0, 28.0, 27.0, 28.0, 23.0, 20.0, 18.0)
DISC_HEIGHTS_MM = (5.0, 6.0, 7.0, 8.0, 9.5, 10.5, 11.0, 10.0, 3.0, 2.0, 1.5, 1.5)
# Positive: the spine runs backwards going down.
DISC_TILTS_DEGREES = (-8.0, -11.0, -14.0, -12.0, -7.0, 0.0, 10.0, 27.0, 42.0, 46.0, 44.0, 40.0)
BODY_HALF_DEPTH_MM = (14.0, 14.5, 15.5, 16.5, 17.0, 17.0, 17.0, 16.5, 12.0, 9.0, 7.0, 5.0)
BODY_HALF_WIDTH_MM = (16.0, 17.0, 19.0, 20.5, 22.0, 23.0, 24.0, 25.0, 22.0, 17.0, 13.0, 10.0)
CANAL_HALF_DEPTH_MM = (8.0, 8.0, 8.5, 8.8, 8.6, 8.4, 8.4, 8.2, 6.5, 5.0, 4.0, 3.0)
CANAL_HALF_WIDTH_MM = (10.0, 10.5, 11.0, 11.5, 11.5, 11.5, 12.0, 12.5, 11.0, 8.0, 6.0, 5.0)
SAC_HALF_DEPTH_MM = (6.8, 6.8, 7.0, 7.0, 6.8, 6.6, 6.4, 5.8, 4.0, 1.0, 0.0, 0.0)
SAC_HALF_WIDTH_MM = (8.0, 8.0, 8.4, 8.4, 8.4, 8.4, 8.2, 7.6, 5.5, 1.0, 0.0, 0.0)
PSOAS_RADIUS_MM = (0.0, 0.0, 3.0, 9.0, 13.0, 16.0, 19.0, 19.0, 15.0, 11.0, 8.0, 6.0)
FASCIA_MM = (56.0, 57.0, 58.0, 61.0, 64.0, 67.0, 68.0, 62.0, 48.0, 38.0, 34.0, 32.0)
BACK_FAT_MM = (6.0, 7.0, 8.0, 9.0, 11.0, 14.0, 18.0, 22.0, 24.0, 24.0, 22.0, 20.0)

# Centres of the openings, relative to the midline, the back wall of the bodies and the disc.
FORAMEN_BESIDE_MIDLINE_MM = 18.0
FORAMEN_BEHIND_WALL_MM = 3.5
FORAMEN_ABOVE_DISC_MM = 5.5
FORAMEN_HALF_MM = (5.0, 9.5)  # front to back, top to bottom
RECESS_BESIDE_MIDLINE_MM = 11.0
RECESS_BEHIND_WALL_MM = 4.0
RECESS_HALF_MM = (4.4, 4.6, 8.0)  # side to side, front to back, top to bottom
