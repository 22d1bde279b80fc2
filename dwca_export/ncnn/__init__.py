"""ncnn's files: the param (`param`, `values`), the weights (`weights`) and the passes over both (`passes`)."""
