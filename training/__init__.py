"""What a training needs around it: flags, folder, data, checkpoints, tables, progress; and the sweep of many."""
