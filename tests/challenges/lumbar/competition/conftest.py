"""A small competition with tables but no images."""

from pathlib import Path

import pytest

from tests.challenges.lumbar.competition.small_tables import CELLS, grades_row, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write the tables of a competition with two training studies and one test study."""
    write(
        tmp_path,
        "train.csv",
        ",".join(["study_id", *CELLS]),
        grades_row(22, spinal_canal_stenosis_l4_l5="Severe"),
        grades_row(
            11, right_subarticular_stenosis_l1_l2="", spinal_canal_stenosis_l1_l2="Moderate"
        ),
    )
    write(
        tmp_path,
        "train_series_descriptions.csv",
        "study_id,series_id,series_description",
        "22,220,Sagittal T1",
        "22,221,Sagittal T2/STIR",
        "11,110,Axial T2",
    )
    write(
        tmp_path,
        "train_label_coordinates.csv",
        "study_id,series_id,instance_number,condition,level,x,y",
        "22,221,8,Spinal Canal Stenosis,L4/L5,322.83,227.96",
        "11,110,3,Left Subarticular Stenosis,L5/S1,10,20.5",
    )
    write(
        tmp_path,
        "test_series_descriptions.csv",
        "study_id,series_id,series_description",
        "33,330,Axial T2",
    )
    write(
        tmp_path,
        "sample_submission.csv",
        "row_id,normal_mild,moderate,severe",
        "33_spinal_canal_stenosis_l2_l3,0.3,0.3,0.4",
        "33_left_neural_foraminal_narrowing_l1_l2,0.3,0.3,0.4",
    )
    return tmp_path
