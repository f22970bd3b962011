"""What follows from a region's name: the partition of its ARNs, and the domain of its hosts."""

from __future__ import annotations


def partition_of(region: str) -> str:
    """Return the first part of ARNs in a region."""
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def suffix_of(region: str) -> str:
    """Return what AWS's hosts in a region end in."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
