"""Knowledge distillation: learning from a teacher's soft predictions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.data import Normalisation
from prunebench.plugins.objective import Objective
from prunebench.plugins.recipe import Distillation


def compute_distillation_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float
) -> Tensor:
    """Return α·T²·CE(softened student, softened teacher) + (1−α)·CE(student, labels).

    Hinton, Vinyals and Dean 2015, section 2, in the form of the distillation study. The first
    term's gradient is that of the Kullback-Leibler divergence; its value differs by the teacher's
    entropy.

    Args:
        student: Logits, B×K.
        teacher: Logits, B×K.
        labels: B.
        temperature: T, above 0.
        alpha: Weight of the teacher, in [0, 1].
    """
    soft = F.cross_entropy(student / temperature, (teacher / temperature).softmax(1))
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student, labels)


def make_distillation_objective(
    teacher: nn.Module,
    how: Distillation,
    translate: Callable[[Tensor], Tensor] = lambda inputs: inputs,
) -> Objective:
    """Make the objective of a student.

    Args:
        teacher: The network to learn from; it is run in evaluation mode.
        how: Temperature and weight.
        translate: Turns the student's inputs into the teacher's, where their normalisations
            differ.
    """
    teacher.eval()

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = teacher(translate(inputs))
        return compute_distillation_loss(module(inputs), wanted, labels, how.temperature, how.alpha)

    return Objective(loss=loss)


def make_translation(student: Normalisation, teacher: Normalisation) -> Callable[[Tensor], Tensor]:
    """Make a function from inputs as a student sees them to those of its teacher, B×C×H×W."""
    if student == teacher:
        return lambda inputs: inputs

    def translate(inputs: Tensor) -> Tensor:
        def shaped(values: tuple[float, ...]) -> Tensor:
            return torch.tensor(values, device=inputs.device, dtype=inputs.dtype).view(-1, 1, 1)

        pixels = inputs * shaped(student.std) + shaped(student.mean)
        return (pixels - shaped(teacher.mean)) / shaped(teacher.std)

    return translate
