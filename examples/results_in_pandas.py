# %% [markdown]
"""Published results in pandas, one row a network.

All records that the leaderboard is made from, as one table. Three questions, one figure. Run it as
a script from a checkout, or cell by cell: VS Code and Jupytext open it as a notebook.
"""

# %%
from pathlib import Path

import matplotlib.pyplot as plt

import prunebench as pb

RESULTS = "leaderboard/results"
checkout = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / RESULTS).is_dir())
table = pb.read_results(checkout / RESULTS).to_pandas()
table["lost"] = 100 * table["accuracy_drop"]  # points of accuracy, against the untouched baseline
compressed = table[table["role"] == "compressed"].dropna(subset=["accuracy", "sp2ps/grad-cam"])
print(f"{len(table)} networks of {table['suite'].nunique()} suites")

# %% [markdown]
# ## Which pruner keeps attention at equal MACs?
#
# Rows compare within one `protocol` only: the same data, baseline, recovery and images. Of the
# protocols, this is the one in which most pruners really removed half of the MACs. Sp2PS is 1 where
# every heatmap is the baseline's.

# %%
halved = compressed[compressed["axis"].eq("dense") & compressed["reached_macs"].between(0.49, 0.51)]
halved = halved[halved["protocol"] == halved["protocol"].value_counts().idxmax()]
halved = halved.sort_values("sp2ps/grad-cam", ascending=False)
columns = ["pruner", "reached_macs", "accuracy", "sp2ps/grad-cam"]
print(halved[columns].to_string(index=False, max_colwidth=45, float_format="%.3f"))

# %% [markdown]
# ## Does accuracy tell?
#
# Spearman's rank correlation of accuracy and Sp2PS: 1 would mean that attention need not be
# measured, since whoever keeps more accuracy keeps more attention.

# %%
for (suite, protocol), rows in compressed.groupby(["suite", "protocol"]):
    if len(rows) >= 10:
        told = rows["accuracy"].corr(rows["sp2ps/grad-cam"], method="spearman")
        print(f"{suite} ({protocol[:6]}): {told:.2f} over {len(rows)} networks")

# %% [markdown]
# ## How much attention goes while accuracy stays?
#
# Among networks that lost at most two points, and could be called unharmed.

# %%
unharmed = compressed[compressed["lost"] <= 2].sort_values("sp2ps/grad-cam")
columns = ["suite", "pruner", "level", "lost", "sp2ps/grad-cam"]
print(unharmed[columns].head(10).to_string(index=False, max_colwidth=45, float_format="%.3f"))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 6), layout="constrained")
names = halved["pruner"].str.replace(r"\{.*\}", "{…}", regex=True)
left.barh(names, halved["sp2ps/grad-cam"], color="#8da0cb", label="attention kept (Sp2PS)")
left.plot(halved["accuracy"], names, "o", color="#1f3b73", label="accuracy")
left.invert_yaxis()
left.set(title=f"Half of the MACs gone: {halved['suite'].iloc[0]}", xlim=(0, 1))
left.legend()
for suite, rows in compressed.groupby("suite"):
    right.scatter(rows["lost"], rows["sp2ps/grad-cam"], label=suite, alpha=0.7)
right.axvline(2, color="grey", linewidth=0.8, linestyle="--")
right.set(xlabel="points of accuracy lost", ylabel="Sp2PS, Grad-CAM", ylim=(0, 1))
right.set_title("Attention kept, accuracy lost (dashed: two points)")
right.legend()
figure.savefig("attention.png", dpi=150)
print("figure: attention.png")
