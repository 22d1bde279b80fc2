"""The files of ncnn: the param (`param`, `values`), the bin (`weights`, `layouts`) and passes over both."""
