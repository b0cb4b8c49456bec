"""The data sets that torchvision and the datasets library know."""
