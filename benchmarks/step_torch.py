"""The step of step.py in PyTorch: reverse mode over reverse mode, the formulation of DeepXDE."""

import numpy as np
import torch

torch.set_num_threads(1)
torch.set_num_interop_threads(1)
VARIANTS = ("for-loop", "foreach", "fused")  # the implementations of Adam that torch.optim.Adam documents


def contenders():
    return {f"PyTorch, nested autograd, {kind} Adam": lambda job, kind=kind: nested(job, kind) for kind in VARIANTS}


def nested(job, kind):
    """grad(..., create_graph=True) twice; of the second derivatives only the two that the operator needs.

    It runs eagerly.
    """
    net = network(job)
    x, a, b, f = (torch.tensor(array) for array in job[:4])
    x.requires_grad_()
    options = {} if kind == "for-loop" else {kind: True}
    parameters = list(net.parameters())
    optimizer = torch.optim.Adam(parameters, lr=job.rate, **options)

    def loss():
        slope = torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]
        lap = sum(torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2))
        return torch.mean((a * lap + (b * slope).sum(1) + f) ** 2)

    def step():
        optimizer.zero_grad()
        loss().backward(inputs=parameters)
        optimizer.step()

    def loss_and_gradient():
        value = loss()
        gradients = torch.autograd.grad(value, parameters, materialize_grads=True)
        return value.item(), np.concatenate([g.numpy().T.ravel() for g in gradients])

    return step, loss_and_gradient


def network(job):
    net = torch.nn.Sequential()
    for W, b in job.params:
        linear = torch.nn.Linear(*W.shape, dtype=torch.from_numpy(W).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        net.extend([linear, torch.nn.Tanh()])
    return net[:-1]
