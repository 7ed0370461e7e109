"""Install, change and remove multicdn in an AWS account, without breaking anybody's bucket.

The way: ``state`` reads what is there, ``plan`` compares it with the config and gives frozen ``steps``, ``apply``
carries them out; ``run`` calls them in this order. Everything that is named in AWS stands in ``template`` (one
CloudFormation stack), but for what can't be in a stack: the notifications of buckets that exist already
(``notifications``) and the bucket for the function's code (``code_bucket``).
"""
