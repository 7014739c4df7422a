"""What is wrong with a script, told from its syntax tree. Runs in the parser's child process only, never in the host.

`rules.py` lists the families of rules; each family is one small file, a function from `Syntax` to findings. Nothing
here may import lazily: by the time a text is examined, the process can open no file.
"""
