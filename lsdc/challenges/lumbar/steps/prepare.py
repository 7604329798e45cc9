"""The steps from DICOM files to crops, with folds fixed before anything learns."""

from dataclasses import dataclass

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.annotations import correct_annotations
from lsdc.challenges.lumbar.stages.catalog import publish_catalog
from lsdc.challenges.lumbar.stages.coordinates import learn_coordinates
from lsdc.challenges.lumbar.stages.crops import cut_crops
from lsdc.challenges.lumbar.stages.folds import assign_folds, require_studies
from lsdc.challenges.lumbar.stages.index import index_studies, require_usable
from lsdc.challenges.lumbar.stages.phantom import write_demo_data
from lsdc.challenges.lumbar.stages.quarantine import refuse_bad_files
from lsdc.challenges.lumbar.stages.sides import fix_sides
from lsdc.challenges.lumbar.stages.training import require_model, takes_hub_weights, train_fold
from lsdc.store.manifest import Manifest
from tasks.dispatch import Work, has_other_workers, train_elsewhere
from tasks.run import note_results, note_so_far
from tasks.versions import installed_versions

# What a run that trains for another one goes through.
STAGES = (
    write_demo_data,
    index_studies,
    assign_folds,
    correct_annotations,
    learn_coordinates,
    fix_sides,
    cut_crops,
    train_fold,
)


@dataclass(frozen=True)
class Prepared:
    """The training studies' results, from the first stage to the last before training.

    Attributes:
        test: the index of the test studies, where a submission is asked for.
    """

    index: Manifest
    folds: Manifest
    annotations: Manifest
    coordinates: Manifest
    sides: Manifest
    crops: Manifest
    test: Manifest | None = None

    @property
    def manifests(self) -> list[Manifest]:
        """All of them, in the order of the walk."""
        training = [
            self.index,
            self.folds,
            self.annotations,
            self.coordinates,
            self.sides,
            self.crops,
        ]
        return training if self.test is None else [*training, self.test]


def read_training(run: LumbarRun) -> tuple[Manifest, Manifest, Manifest]:
    """Take the training studies from files to all that coordinates are learnt from."""
    if run.uses_phantom:
        write_demo_data(run)
    require_studies(run)
    index = index_studies(run, "train")
    note_so_far(run, index)
    publish_catalog(run, [index], after="index")  # what was quarantined can be asked for
    require_usable(run, "train", index)
    folds, annotations = assign_folds(run, index), correct_annotations(run, index)
    note_so_far(run, folds, annotations)
    return index, folds, annotations


def dispatch_coordinates(
    run: LumbarRun, index: Manifest, folds: Manifest, annotations: Manifest, *, tries_model: bool
) -> Manifest:
    """Have coordinates learnt: on another worker's GPU, or here where that is not for us.

    Such a worker is asked first whether the model can be had there, if it `tries_model`.
    """
    inputs = run, index, folds, annotations
    if not has_other_workers() or learn_coordinates.find(*inputs):
        return learn_coordinates(*inputs)
    told = {"tries_model": True} if tries_model else {}
    work = Work("train-coordinates/default", "coordinates", learn_coordinates, inputs, told)
    (coordinates,) = train_elsewhere(run, [work], installed_versions(STAGES))
    return coordinates


def read_test(run: LumbarRun, index: Manifest, *others: Manifest) -> Manifest:
    """Index the test studies, so that what is wrong with them is said before anything is learnt."""
    test = index_studies(run, "test", index)
    note_so_far(run, test)
    publish_catalog(run, [index, *others, test], after="index test")
    require_usable(run, "test", test)
    return test


def prepare_training(
    run: LumbarRun, *, for_submission: bool = False, for_training: bool = True
) -> Prepared:
    """Take the training studies from files to crops; for a submission, look at the test studies."""
    index, folds, annotations = read_training(run)
    test = read_test(run, index, folds, annotations) if for_submission and run.has_test else None
    asks_hub = for_training and takes_hub_weights(run)
    coordinates = dispatch_coordinates(run, index, folds, annotations, tries_model=asks_hub)
    note_so_far(run, coordinates)
    so_far = [index, folds, annotations, coordinates]
    refuse_bad_files(run, coordinates, index=index, so_far=so_far)
    sides = fix_sides(run, "train", index, coordinates, annotations)
    note_so_far(run, sides)
    crops = cut_crops(run, "train", index, coordinates, sides)
    note_so_far(run, crops)
    prepared = Prepared(index, folds, annotations, coordinates, sides, crops, test)
    publish_catalog(run, prepared.manifests, after="crops")
    refuse_bad_files(run, crops, index=index, so_far=prepared.manifests)
    note_results(run, prepared.manifests)
    return prepared


def require_model_here(run: LumbarRun) -> None:
    """Refuse a model that cannot be trained, before anything is prepared for it.

    Where others train, what their hosts alone can tell is asked there: of their devices, and of
    timm's hub.

    Raises:
        SettingsError: the backbone, its weights, the size of its images, or the device.
        StageError: the process that tries it died.
    """
    require_model(run, trained_here=not has_other_workers())
