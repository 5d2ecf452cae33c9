# %% [markdown]
"""A suite's results out of MLflow.

What `make bench` logged, by MLflow's own means and so from any tracking server, too. Run it after
`make bench`; another database and another suite are its two arguments.
"""

# %%
import sys

import mlflow

arguments = [text for text in sys.argv[1:] if not text.startswith("-")]  # none in a notebook
uri, suite = arguments if len(arguments) == 2 else ("sqlite:///.prunebench/mlflow.db", "quick")
mlflow.set_tracking_uri(uri)
runs = mlflow.search_runs(
    experiment_names=[suite], filter_string="params.role = 'compressed' and tags.complete = 'true'"
)

# %% [markdown]
# Parameters are columns `params.NAME`, values `metrics.NAME`; what a network costs is in
# `metrics.cost/...`. Who keeps attention?

# %%
kept = next(name for name in runs.columns if name.startswith("metrics.sp2ps/"))
columns = ["tags.mlflow.runName", "metrics.cost/macs_ratio", "metrics.accuracy", kept]
print(runs.sort_values(kept, ascending=False)[columns].to_string(index=False, float_format="%.3f"))
