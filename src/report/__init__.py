"""Records to table to plots to page; reads what runs have left and never imports torch."""
