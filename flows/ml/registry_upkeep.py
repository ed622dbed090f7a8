"""What upkeep does in MLflow, and no run of a model: look at all of it, end what was left open, take away."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from flows.ml.registry import Registry, Version, all_pages
from flows.ml.registry_errors import VersionMissing, named


@dataclass(frozen=True)
class Run:
    """An MLflow run: ``status`` is RUNNING, FINISHED, FAILED or KILLED."""

    run_id: str
    name: str
    status: str
    started_at: datetime
    tags: Mapping[str, str]


class Upkeep(Registry):
    """The registry with the methods of upkeep. Raises what ``Registry`` does."""

    def models(self) -> list[str]:
        """Every model there is, whether or not this code knows it."""
        with named(self.uri):
            return [model.name for model in all_pages(self._client.search_registered_models)]

    def aliases(self, model: str) -> dict[str, int]:
        """The aliases of a model and the versions they name; none where there is no such model."""
        try:
            with named(self.uri):
                found = self._client.get_registered_model(model).aliases
        except VersionMissing:
            return {}
        return {name: int(number) for name, number in found.items()}

    def runs(self, model: str) -> list[Run]:
        """The runs of a model, the newest first."""
        with named(self.uri):
            experiment = self._client.get_experiment_by_name(model)
            if experiment is None:
                return []
            found = all_pages(partial(self._client.search_runs, [experiment.experiment_id], max_results=1000))
        return [
            Run(
                str(run.info.run_id),
                str(run.info.run_name),
                str(run.info.status),
                datetime.fromtimestamp(run.info.start_time / 1000, UTC),
                dict(run.data.tags),
            )
            for run in found
        ]

    def end_run(self, run_id: str, status: str) -> None:
        """Set a run's status, and that it has ended now."""
        with named(self.uri):
            self._client.set_terminated(run_id, status)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with named(self.uri):
            for key, value in tags.items():
                self._client.set_model_version_tag(version.model, str(version.number), key, value)

    def retire(self, version: Version) -> None:
        """Delete a version for good; its run and its stored model as MLflow does it: restorable until ``mlflow gc``.

        In this order: what is left half done is found by its version again.
        """
        with contextlib.suppress(VersionMissing), named(self.uri):
            outputs = self._client.get_run(version.run_id).outputs
            for model in outputs.model_outputs if outputs else ():
                self._client.delete_logged_model(model.model_id)
            self._client.delete_run(version.run_id)
        with contextlib.suppress(VersionMissing), named(self.uri):
            self._client.delete_model_version(version.model, str(version.number))
