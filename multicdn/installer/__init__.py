"""Install, change and remove multicdn in an AWS account, without breaking anybody's bucket.

The way: ``observe`` reads what is there, ``plan`` compares it with the config and gives frozen instructions, ``apply``
carries them out. Everything that is named in AWS stands in ``template`` (one CloudFormation stack), but for what can't
be in a stack: the notifications of buckets that exist already (``notification``) and the bucket for the function's
code (``artifacts``).
"""
