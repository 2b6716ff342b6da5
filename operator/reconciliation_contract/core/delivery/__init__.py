"""One revision on its way: observations in, stages with their times, the count of failures and the outcome out."""
