"""CPL's card."""

from nereus.models.card import Card, Column, Component, Figure, Paper, Status, Verb

CARD = Card(
    name="cpl",
    title="CPL: critical plan steps, learned by Step-APO",
    paper=Paper(
        title="CPL: Critical Plan Step Learning Boosts LLM Generalization in Reasoning Tasks",
        year=2024,
        venue="arXiv",
        link="arXiv:2409.08642",
        headline="MATH 35.2 to 41.6 and GSM8K 63.2 to 73.8 after two rounds, from DeepSeekMath-7B-base",
    ),
    purpose="A policy of next steps, trained from what a search preferred: rows of prefix, better and worse step with their "
    "values, as the reasoner exports them (`nereus.agents.reasoner`, docs/reasoner.md).",
    task="preference learning",
    verbs=(Verb.SCORE,),
    inputs=(
        Column(name="prompt", kind="text", about="question and steps so far"),
        Column(
            name="step", kind="text", about="the better next step; of a trained policy, the step to score"
        ),
        Column(name="rejected", kind="text", about="a worse next step after the same prompt", learned=True),
        Column(name="q_step", kind="number", about="value of the better step, -1 to 1"),
        Column(name="q_rejected", kind="number", about="value of the worse step, -1 to 1"),
    ),
    outputs=(
        Column(
            name="log_probability",
            kind="number",
            about="of the step after its prompt, summed over its characters, nats",
        ),
    ),
    components=(
        Component(
            name="Step-APO: offset by the advantage gap, soft labels",
            place="step_apo.py",
            origin="official code",
        ),
        Component(
            name="sums over the tokens of a step; frozen reference; adapters",
            place="causal.py",
            origin="official code",
        ),
        Component(
            name="one trainer for SFT, DPO, Step-DPO and Step-APO", place="fitting.py", origin="official code"
        ),
        Component(name="rows of preferences, paths and values", place="rows.py", origin="official code"),
        Component(
            name="linear policy with gradients in closed form, and value",
            place="linear.py",
            origin="inferred",
        ),
        Component(
            name="policy and value over symbols of steps, tanh head", place="network.py", origin="inferred"
        ),
        Component(
            name="batched sampling of steps with log-probabilities", place="sampling.py", origin="inferred"
        ),
    ),
    licences=("GSM8K (MIT), read by the benchmark, not shipped",),
    status=Status.MECHANISM,
    figures=(
        Figure(
            metric="share of pairs whose better step is the likelier one, Step-APO",
            value=0.783,
            data="pairs of next steps of countdown from uniform searches, about 640 learned from, 208 of other questions to "
            "judge, two layers of width 64 over characters, mean of three seeds",
            baseline="the shorter step 0.666, imitation alone 0.759, Step-DPO with equal batches 0.786",
            result="cpl.json:figures.pairs.step_apo.mean",
        ),
        Figure(
            metric="the same, Step-DPO (no margin)",
            value=0.786,
            data="the same",
            baseline="Step-APO 0.783: the margin adds nothing here",
            result="cpl.json:figures.pairs.step_dpo.mean",
        ),
    ),
    limits=(
        "The margin of Step-APO was of no use in any measurement here: it ends where Step-DPO ends.",
        "The paper's models of 7 billion weights were not trained here; figures of small policies are in docs/reasoner.md.",
        'With hard labels ("the higher value wins") neither Step-APO nor DPO has a finite optimum: step size, few epochs and '
        "early stopping are what holds the policy near its reference.",
        "This method reads characters and starts from nothing; causal models of transformers are trained by the functions of "
        "`causal.py`.",
    ),
)
